"""The mathematics as pure functions: no device, no logging, no state."""
