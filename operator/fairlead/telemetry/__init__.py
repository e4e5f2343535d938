"""What the operator tells about itself: metrics and log lines. It is told things; it asks nobody."""
