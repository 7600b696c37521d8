"""Eight architectures with torchvision's parameter names, so that its published weights load.

Every constructor takes (num_classes, channels, image_size) and arguments of its own, and gives a
`Network`: features, classify, stages, and the name of its head.
"""

from labs.week05_cnn.networks.alexnet import alexnet
from labs.week05_cnn.networks.cam import class_activation_map
from labs.week05_cnn.networks.efficientnet import efficientnet_b0
from labs.week05_cnn.networks.interface import Network, Stage
from labs.week05_cnn.networks.lenet import lenet
from labs.week05_cnn.networks.mobilenet import mobilenet_v2
from labs.week05_cnn.networks.resnet import resnet10, resnet18, resnet34, resnet50
from labs.week05_cnn.networks.vgg import vgg11, vgg16
from labs.week05_cnn.networks.vit import vit, vit_b_16

__all__ = [
    "Network",
    "Stage",
    "alexnet",
    "class_activation_map",
    "efficientnet_b0",
    "lenet",
    "mobilenet_v2",
    "resnet10",
    "resnet18",
    "resnet34",
    "resnet50",
    "vgg11",
    "vgg16",
    "vit",
    "vit_b_16",
]
