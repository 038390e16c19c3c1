"""What one optimiser step does, a file for each kind of model."""
