"""Any method in the setting of KDExplainer (Xue et al. 2021): CIFAR-10, a ResNet50 teaches a ResNet18.

    python -m ikd.main --config=configs/kdexplainer.py:vam
    python -m ikd.main --config=configs/kdexplainer.py:hme --config.hme.loss=kd
    python -m ikd.main --config=configs/kdexplainer.py:METHOD --config.model.name=wrn16_2

`vam` is distillation to a student with virtual attention; METHOD is any of the README's table but fsp_kd, which wants
groups of one width (hint: with --config.features.regressor=True), and belongs after the colon, as srdl, ban and ban_l
have weight 1 by it. Other students: vgg8, wrn16_2, wrn40_1, resnet20, but for at_kd, which wants as many groups as
the teacher has. Without distillation (attention transfer and labels, say): --config.method.weight=0
--config.method.lam=1. The paper's tables could not be had, so there is nothing to compare with here; not yet run at
full length. A teacher of 240 epochs is a job for an accelerator.
"""
from configs import common
from ikd.config import apply_arguments
from ikd.recipes import RECIPES


def get_config(argument=''):
    config = apply_arguments(common.kdexplainer(), argument, RECIPES)
    if config.method.name in ('srdl', 'ban', 'ban_l'):
        config.method.weight = 1.0  # 0.9 is of the protocol's distillation from another network
    return config
