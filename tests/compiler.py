"""How programs are compiled in tests: with little effort, since most run once. What is computed stays as it is."""

from importlib import metadata

FLAGS = '--xla_backend_optimization_level=0'
# From 0.12 on there is no such flag, and XLA ends the process at one that it does not know.
if int(metadata.version('jaxlib').split('.')[1]) < 12:
  FLAGS += ' --xla_cpu_use_fusion_emitters=false'
EIGHT_DEVICES = '--xla_force_host_platform_device_count=8'
