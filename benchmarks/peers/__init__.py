"""What this package is compared with: plain PyTorch networks, and other libraries."""
