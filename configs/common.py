"""The settings that the experiments share: data, network, schedule. A config file adds the method."""
from ikd.config import default


def cifar():
    """CIFAR-10, ResNet14, 160 epochs (2009.09140, section 5; momentum and weight decay are ours)."""
    config = default()
    config.model.name = 'resnet14'
    config.data.update(name='cifar10', augment='crop_flip')
    config.update(batch_size=128, epochs=160)
    config.optimizer.update(learning_rate=0.1, momentum=0.9, weight_decay=1e-4, milestones=(0.5, 0.75))
    return config


def mnist():
    """MNIST in [0, 1], the MLP 784-1024-1024-10, 50 epochs at a constant learning rate (2009.09140, section 5.1)."""
    config = default()
    config.model.name = config.teacher.model = config.teacher.assistant = 'mlp'
    config.data.name = 'mnist'
    config.update(batch_size=16, epochs=50)
    config.optimizer.update(learning_rate=0.01, momentum=0.9, weight_decay=0.0, milestones=())
    return config


def digits():
    """scikit-learn's handwritten digits, enlarged to 32x32 so that a last feature map of 8x8 shows something."""
    config = default()
    config.model.name, config.teacher.model, config.teacher.assistant = 'resnet8', 'resnet14', 'resnet14'
    config.data.update(name='digits', size=32)
    config.update(batch_size=64, epochs=10, checkpoint_every=2)
    config.optimizer.update(learning_rate=0.1, momentum=0.9, weight_decay=1e-4, milestones=(0.5, 0.75))
    return config


def kdexplainer():
    """CIFAR-10, a ResNet50 teaches a ResNet18, 240 epochs: the protocol of KDExplainer's code (RepDistiller).

    That code divides CIFAR-10 by other deviations (0.2023, 0.1994, 0.2010), and trains trees for 300 epochs, in
    batches of 128.
    """
    config = default()
    config.model.name, config.teacher.model, config.teacher.assistant = 'resnet18', 'resnet50', 'resnet18'
    config.data.update(name='cifar10', augment='crop_flip')
    config.update(batch_size=64, epochs=240)
    config.optimizer.update(learning_rate=0.05, momentum=0.9, weight_decay=5e-4, milestones=(0.625, 0.75, 0.875))
    config.method.weight = 0.9
    return config
