"""Takes the picture of README.md: asks a question on the page of a running server (`make serve`) and saves what it shows.

    python docs/pictures/take.py "Welche Währung hat Indien?"

Fonts: Debian's fonts-noto-core and fonts-wqy-zenhei show all the scripts of the quickstart.
"""

import argparse
import shutil
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import sync_playwright

MOST = 300_000


def main() -> None:
    """Reads the arguments, takes the picture, refuses one that is too large for a README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question")
    parser.add_argument("--server", default="http://127.0.0.1:8000/", help="default: %(default)s")
    parser.add_argument("--more", default="", help="more of the page's address, such as balance=quota&k=20")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "search.png", help="default: %(default)s")
    parser.add_argument("--size", default="1280x900", help="of the window; default: %(default)s")
    parser.add_argument("--dark", action="store_true")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or "/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if given.dark else "light")
        page.goto(f"{given.server}?{urlencode({'q': given.question})}&{given.more}".rstrip("&"))
        page.wait_for_selector("ol.hits, #notices .notice")
        page.reload()  # the second time nothing is cold: the times shown are those of a running server
        page.wait_for_selector("ol.hits, #notices .notice")
        if problem := page.locator("#notices").inner_text():
            raise SystemExit(f"no picture: {problem}")
        page.evaluate("document.activeElement.blur()")
        picture = page.screenshot(type="png", animations="disabled")
        browser.close()
    if len(picture) > MOST:
        raise SystemExit(f"the picture has {len(picture):,} bytes, more than {MOST:,}; choose a smaller --size")
    given.out.write_bytes(picture)
    print(f"{given.out}: {len(picture):,} bytes")


if __name__ == "__main__":
    main()
