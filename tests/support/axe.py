"""axe-core, which finds what people who use a page without eyes, hands or much contrast cannot use."""

from __future__ import annotations

import importlib.resources

from tests.support.chromium import Page

SEVERE = ("serious", "critical")


def violations(browser: Page) -> list[str]:
    """What axe-core calls serious or critical of what is shown now, in the dark and in the light."""
    script = importlib.resources.files("axe_core_python").joinpath("axe.min.js").read_text()
    found = []
    for dark in (False, True):
        browser.dark(dark)
        browser.value(f"{script}; 0")
        results = browser.value(
            "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.map(each => "
            "[each.impact, each.id, each.nodes.slice(0, 3).map(node => node.html).join(' ')]))"
        )
        found += [f"{name}: {nodes}" for impact, name, nodes in results if impact in SEVERE]
    browser.dark(False)
    return found
