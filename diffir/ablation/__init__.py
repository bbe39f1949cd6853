"""What each part of the method is worth at a model's size: change one, train alike, compare."""
