"""Side by side with other systems, each in a virtual environment of its own; never part of the test run."""
