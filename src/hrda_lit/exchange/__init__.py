"""Exchange networks with others: released checkpoints, transformers, graphs, hubs."""
