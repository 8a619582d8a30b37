"""Order: neighbours, bond-orientational order, stacking sequence."""
