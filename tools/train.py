"""Train a recognizer."""

from mmaction_videomambapro.apis.cli import run_tool
from mmaction_videomambapro.apis.train import main

if __name__ == '__main__':
    run_tool(main)
