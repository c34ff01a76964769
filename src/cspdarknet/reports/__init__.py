"""Pictures and pages about a training or an evaluation."""
