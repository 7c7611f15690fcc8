"""What a network is: its config, the modules of the paper, the backbones, and their quick forms."""
