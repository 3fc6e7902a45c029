"""I2M2: unimodal experts and a joint expert, combined as a product of experts, as a medical-imaging pipeline on MONAI."""

__version__ = "0.1.0"
