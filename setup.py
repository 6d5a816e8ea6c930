"""Packaging: metadata, dependencies, and the .mim folder of OpenMMLab packages."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
PACKAGE = 'mmaction_videomambapro'


class BuildWithMim(build_py):
    """Put configs, tools and the model index where mim and `_base_='pkg::'` look.

    An editable install gets links, so that edits are seen; a wheel gets copies.
    """

    def run(self):
        super().run()
        target = ROOT if self.editable_mode else Path(self.build_lib)
        mim = target / PACKAGE / '.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for name in ('configs', 'tools', 'model-index.yml'):
            source = ROOT / name
            if self.editable_mode:
                try:
                    (mim / name).symlink_to(source, target_is_directory=source.is_dir())
                    continue
                except OSError:  # Windows without the right to link
                    pass
            if source.is_dir():
                shutil.copytree(
                    source, mim / name, ignore=shutil.ignore_patterns('__pycache__')
                )
            else:
                shutil.copy(source, mim / name)


def requirements(name):
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


setup(
    name=PACKAGE,
    version=re.search(
        r"__version__ = '(.+)'", (ROOT / PACKAGE / '__init__.py').read_text()
    )[1],
    description='VideoMamba and VideoMambaPro for MMAction2',
    author='The mmaction_videomambapro contributors',
    keywords=(
        'video understanding, action recognition, state-space models, Mamba, '
        'VideoMamba, VideoMambaPro, MMAction2, OpenMMLab, PyTorch'
    ),
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: MacOS',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        *(f'Programming Language :: Python :: 3.{minor}' for minor in range(10, 14)),
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Recognition',
        'Typing :: Typed',
    ],
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={
        PACKAGE: ['py.typed', 'datasets/names/*.txt', 'apis/page/static/*'],
    },
    python_requires='>=3.10',
    install_requires=requirements('runtime'),
    extras_require={
        name: requirements(name)
        for name in (
            *('test', 'docs', 'image', 'cuda', 'onnx'),
            *('tensorboard', 'submit', 'page'),
        )
    },
    cmdclass={'build_py': BuildWithMim},
)
