"""How programs are compiled in tests: with little effort, since most run once. What is computed stays as it is."""

FLAGS = '--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false'
EIGHT_DEVICES = '--xla_force_host_platform_device_count=8'
