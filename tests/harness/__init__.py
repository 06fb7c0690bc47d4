"""What the black-box tests share: the real process, and stand-ins of the providers."""
