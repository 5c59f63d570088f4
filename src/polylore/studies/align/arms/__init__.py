"""Training arms: siblings from one start checkpoint, of which one factor differs."""
