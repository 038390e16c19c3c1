"""An encoder for an inference engine other than torch."""
