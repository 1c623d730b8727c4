"""The process that trains one run, and how others start, follow and stop it. Light until `main` calls the training."""
