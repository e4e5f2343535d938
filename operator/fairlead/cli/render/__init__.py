"""How things look on a terminal. Pure: values in, rich texts out."""
