"""What an operator at work tells those who watch it: by receivers that are real."""
