"""What the packages that users come from offer, recorded from their installed versions: `make migration`."""
