"""The contents of a cell's file, as `ikd.grid.write_cell` writes them."""
CONFIG = {'batch_size': 16, 'data.holdout': 0, 'method.name': 'le', 'model.name': 'mlp',
          'optimizer.learning_rate': 0.01, 'optimizer.milestones': [], 'optimizer.momentum': 0.9,
          'optimizer.weight_decay': 0.0}
RECORD = {'test_accuracy': 90.0, 'test_nll': 0.5, 'test_ece': 0.1, 'precision': 'float32', 'config': CONFIG,
          'data': {'name': 'mnist', 'train_images': 60000, 'test_images': 10000},
          'schedule': [{'stage': 'warmup', 'epochs': 10}, {'stage': 'introspective', 'epochs': 40}],
          'device': {'platform': 'gpu', 'kind': 'H100', 'count': 1}, 'versions': {'jax': '1', 'flax': '2'},
          'seed': 0, 'git_commit': 'abc', 'finished': '2026-01-02T03:04:05Z', 'train_seconds': 1800}
