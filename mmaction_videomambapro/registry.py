"""The scope ``mmaction_videomambapro``: MMAction2's registries, one level down.

MMEngine gives this scope to whatever a config inherits with
``_base_ = 'mmaction_videomambapro::...'``, and imports this module to find it. The
package registers its own modules in MMAction2's registries; the children made here
lead there, and import the same modules.
"""

from mmaction import registry as mmaction_registry
from mmengine.registry import Registry

CHILDREN = [
    Registry(
        parent.name,
        parent=parent,
        scope='mmaction_videomambapro',
        locations=parent._locations,
    )
    for parent in vars(mmaction_registry).values()
    if isinstance(parent, Registry) and parent.scope == 'mmaction'
]
