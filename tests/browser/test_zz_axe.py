from tests.browser.test_accessibility import *
from tests.browser.test_accessibility import readers, world, client, read
def test_mine(readers, client, world):
    p=f"/console/{world.store.slug}/experiments/{world.tests.running.key}/"
    print(read(readers,[p, p+"?view=print", f"/console/{world.store.slug}/experiments/{world.tests.draft.key}/"]))
