"""A pod a phase: what it is called and made of, what its status and its log say."""
