"""Training: strategies, losses, the loop, checkpoints, and predictions from them."""
