"""Packaging of robust_t5x."""

import os

import setuptools

HERE = os.path.dirname(os.path.abspath(__file__))

with open(os.path.join(HERE, 'README.md'), encoding='utf-8') as f:
  README = f.read()

setuptools.setup(
  name='robust-t5x',
  version='0.1.0',
  description='Measure and mend how instruction-tuned language models react to rephrased instructions.',
  long_description=README,
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  python_requires='>=3.11',
  # The gin files stand at the top of the repository and are installed inside the package.
  packages=['robust_t5x.configs.gin', *setuptools.find_namespace_packages(include=['robust_t5x*', 'seqio_tasks*'])],
  package_dir={'robust_t5x.configs.gin': 'gin'},
  package_data={
    'robust_t5x.configs.gin': ['**/*.gin'],
    'robust_t5x': ['py.typed'],
    'robust_t5x.mini': ['*'],
    'robust_t5x.reports.templates': ['*.j2'],
    'robust_t5x.sweeps.templates': ['*.j2'],
    'seqio_tasks': ['py.typed'],
    'seqio_tasks.banks': ['*.yaml'],
    'seqio_tasks.data': ['*.txt', '*.yaml'],
  },
  install_requires=[
    'clu>=0.0.12',
    'etils[epath]>=1.9',
    'flax>=0.12',
    'fsspec>=2024.6',
    'gguf>=0.17',
    'gin-config>=0.5',
    'importlib-resources>=5',  # tensorflow-datasets imports it and does not require it
    'jax>=0.7',
    'jaxtyping>=0.2.30',
    'jinja2>=3.1',
    'matplotlib>=3.8',
    'ml_dtypes>=0.5',
    'numpy>=2.0',
    'optax>=0.2.5',
    'orbax-checkpoint>=0.11.20',
    'pandas>=2.2',
    'pyarrow>=16',
    'pyyaml>=6',
    'rich>=13',
    'safetensors>=0.5',
    'scipy>=1.13',
    'sentencepiece>=0.2',
    'seqio>=0.0.20',
    'tensorboard>=2.18',
    'tensorflow>=2.18',
    'tensorflow-text>=2.18',
    'tensorstore>=0.1.70',
    'tokenizers>=0.21',
  ],
  extras_require={
    'test': [
      'hypothesis>=6',
      'import-linter>=2.7',
      'mypy>=1.14',
      'pytest>=8',
      'pytest-xdist>=3',
      'ruff>=0.9',
      'types-PyYAML>=6',
    ],
    'gpu': ['jax[cuda12]'],
    'tpu': ['jax[tpu]'],
    'docs': ['mkdocs-material>=9.7', 'mkdocstrings[python]>=1.0'],  # the site, mkdocs.yml
    'plan': ['libtpu'],  # the TPU's compiler, to plan on a machine without one
    'gcs': ['gcsfs'],
    'lm-eval': ['lm-eval>=0.4.13'],  # `robust-t5x harness`
    # What T5X, airio and jestimator import besides; they install from their repositories, launch/install_t5x.sh.
    't5x': ['absl-py', 'cached_property', 'fiddle>=0.2.5', 'grain', 'jaxtyping', 'tensorboard'],
  },
  entry_points={'console_scripts': ['robust-t5x = robust_t5x.__main__:main']},
  classifiers=[
    'License :: OSI Approved :: Apache Software License',
    'Programming Language :: Python :: 3',
    'Programming Language :: Python :: 3.11',
    'Programming Language :: Python :: 3.12',
    'Programming Language :: Python :: 3.13',
    'Topic :: Scientific/Engineering :: Artificial Intelligence',
  ],
)
