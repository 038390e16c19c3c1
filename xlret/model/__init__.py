"""The encoder, its pooling, cross-worker gathering and the losses: plain torch, no Ray."""
