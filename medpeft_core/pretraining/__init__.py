"""Pre-training without labels: masked autoencoding of plain vision transformers. Heavy, but for `cards` and `files`."""
