"""Running studies on clusters."""
