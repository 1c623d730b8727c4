"""Looks at single images with a trained run: probabilities, class activation maps, overlays."""
