"""Form factors of NPs, one file a form; `table` lists them."""
