"""Pictures for people: layers over an image, sheets of panels, confusion matrices."""
