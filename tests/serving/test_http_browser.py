"""The page in a real browser; `RANKDISTILL_SCREENSHOTS` names a folder that gets pictures of it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Exported, Running, put, running, variant
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

SECONDS = 30
DESKTOP, PHONE = (1280, 1000), (390, 844)


@pytest.fixture(scope="module")
def server(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("page")
    student = variant(exported.folder, folder / "student", titles=True)
    teacher = variant(exported.folder, folder / "teacher", titles=True, reverse=True)
    with running(student, "--teacher", teacher) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs a browser: install Debian's chromium and chromium-driver")
    options = ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    with Chrome(options, Service(driver)) as started:
        yield started


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: Chrome, server: Running) -> Iterator[Chrome]:
    width, height = request.param
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": request.param == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(server.url)
    until(browser, lambda: len(all_of(browser, "#list-teacher li")) == 10)
    yield browser
    assert [entry for entry in browser.get_log("browser") if "favicon" not in entry["message"]] == []
    shots = os.environ.get("RANKDISTILL_SCREENSHOTS")
    if shots:
        browser.save_screenshot(str(Path(shots) / f"{re.sub(r'[^a-z_]+', '-', request.node.name)}.png"))


at_one_width = pytest.mark.parametrize("page", [DESKTOP], ids=["desktop"], indirect=True)


def until(browser: Chrome, true: Any) -> None:
    changing = [StaleElementReferenceException]  # while the page draws
    WebDriverWait(browser, SECONDS, ignored_exceptions=changing).until(lambda _: true())


def all_of(browser: Chrome, selector: str) -> list[Any]:
    return browser.find_elements(By.CSS_SELECTOR, selector)


def text_of(browser: Chrome, selector: str) -> str:
    text: str = browser.find_element(By.CSS_SELECTOR, selector).text
    return text


def items_of(browser: Chrome, role: str) -> list[str]:
    return [entry.get_attribute("data-item") for entry in all_of(browser, f"#list-{role} li")]


def history_of(browser: Chrome) -> list[str]:
    return [entry.get_attribute("title") for entry in all_of(browser, "#history li > span")]


def settled(browser: Chrome) -> bool:
    return browser.find_element(By.ID, "answer").get_attribute("aria-busy") == "false"


def test_the_page_shows_both_lists_and_joins_what_they_share(page: Chrome, server: Running) -> None:
    answer = server.post({"history": history_of(page), "teacher": True})
    student, teacher = ([entry["item"] for entry in part["items"]] for part in (answer, answer["teacher"]))
    assert (items_of(page, "student"), items_of(page, "teacher")) == (student, teacher)
    shared = set(student) & set(teacher)
    assert {line.get_attribute("data-item") for line in all_of(page, ".links path")} == shared
    assert text_of(page, "#verdict") == f"The student finds {len(shared)} of the teacher’s 10"
    assert text_of(page, "#list-student li .item").startswith("Tea room ")
    assert text_of(page, "#list-student li .score") == f"{answer['items'][0]['score']:.2f}"
    assert re.fullmatch(r"Answered in [\d.]+ ms, HTTP and both ways included.", text_of(page, "#elapsed"))


def test_an_item_is_found_by_its_title_and_added(page: Chrome) -> None:
    page.find_element(By.ID, "clear").click()
    until(page, lambda: history_of(page) == [] and settled(page))
    before = items_of(page, "student")
    search = page.find_element(By.ID, "search")
    search.send_keys("room 13")
    until(page, lambda: text_of(page, "#found").startswith("Tea room 13"))
    search.send_keys(Keys.ENTER)
    until(page, lambda: len(history_of(page)) == 1 and settled(page))
    assert text_of(page, "#history li span") == "Tea room 13"
    after = items_of(page, "student")
    assert after != before
    assert history_of(page)[0] not in after


def test_what_is_wrong_is_said_in_the_servers_words_and_no_former_time_stays(page: Chrome) -> None:
    assert text_of(page, "#ms-student").endswith(" ms")
    page.find_element(By.ID, "clear").click()
    until(page, lambda: history_of(page) == [] and settled(page))
    page.execute_script("document.getElementById('more').open = true")
    user = page.find_element(By.ID, "user")
    user.send_keys("nobody")
    until(page, lambda: page.find_element(By.ID, "error").is_displayed())
    assert text_of(page, "#error") == "user 'nobody' is not known; give the history of what they have"
    assert (text_of(page, "#ms-student"), text_of(page, "#ms-teacher")) == ("–", "–")
    assert (items_of(page, "student"), text_of(page, "#elapsed")) == ([], "")
    page.find_element(By.ID, "example").click()
    until(page, lambda: not page.find_element(By.ID, "error").is_displayed())
    assert text_of(page, "#ms-teacher").endswith(" ms")
    page.get_log("browser")  # tells of the 404 too


@at_one_width
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("no such item", "‘no such item’ is not in the catalogue."),
        ("café 3, tea", "‘tea’ is not in the catalogue; nothing is added."),
        ("x" * 300, f"‘{'x' * 200}’ is not in the catalogue."),
    ],
)
def test_an_unknown_id_is_refused_at_the_input_and_the_lists_stay(page: Chrome, typed: str, said: str) -> None:
    before = history_of(page), items_of(page, "student"), items_of(page, "teacher"), text_of(page, "#ms-student")
    search = page.find_element(By.ID, "search")
    search.send_keys(typed, Keys.ENTER)
    until(page, lambda: page.find_element(By.ID, "note").is_displayed())
    assert text_of(page, "#note") == said
    assert search.get_attribute("aria-invalid") == "true"
    assert search.get_attribute("value") == typed
    after = history_of(page), items_of(page, "student"), items_of(page, "teacher"), text_of(page, "#ms-student")
    assert after == before
    search.send_keys(Keys.BACKSPACE)
    until(page, lambda: not page.find_element(By.ID, "note").is_displayed())


@at_one_width
def test_several_ids_are_added_at_once(page: Chrome) -> None:
    page.find_element(By.ID, "clear").click()
    search = page.find_element(By.ID, "search")
    search.send_keys("café 3, café 17; café 4")
    until(page, lambda: text_of(page, "#found") == "Enter adds 3 items by id")
    search.send_keys(Keys.ENTER)
    until(page, lambda: history_of(page) == ["café 3", "café 17", "café 4"])
    assert search.get_attribute("value") == ""
    assert text_of(page, "#history li span").startswith("Tea room ")


@at_one_width
def test_a_hasty_enter_adds_only_what_is_meant(page: Chrome) -> None:
    page.find_element(By.ID, "clear").click()
    search = page.find_element(By.ID, "search")
    search.send_keys("café 17", Keys.ENTER)
    until(page, lambda: history_of(page) == ["café 17"])
    search.send_keys("room 1")
    until(page, lambda: text_of(page, "#found").startswith("Tea room 1"))
    page.execute_script(  # in one go, before anything can be found
        """const search = document.getElementById("search");
        search.value = "room 13";
        search.dispatchEvent(new InputEvent("input", {bubbles: true}));
        search.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", bubbles: true, cancelable: true}));"""
    )
    until(page, lambda: text_of(page, "#found").startswith("Tea room 13"))
    assert len(history_of(page)) == 1
    search.send_keys(Keys.ENTER)
    until(page, lambda: len(history_of(page)) == 2)
    assert [each.text for each in all_of(page, "#history li > span")][1] == "Tea room 13"


def box(browser: Chrome, selector: str) -> dict[str, float]:
    """Where the first of these is."""
    found: dict[str, float] = browser.find_element(By.CSS_SELECTOR, selector).rect
    return {**found, "right": found["x"] + found["width"], "bottom": found["y"] + found["height"]}


def cut(browser: Chrome, selector: str) -> list[str]:
    """The texts of those that hold more than they show."""
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])]"
        ".filter((each) => each.scrollHeight > each.clientHeight + 1).map((each) => each.textContent)",
        selector,
    )
    return found


def test_sizes_and_times_of_both_models_are_at_the_top(page: Chrome, server: Running) -> None:
    models = server.get("/model")["models"]
    rows = [[cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in all_of(page, "#models tr")]
    assert rows[0][1:] == ["Parameters", "Model file", "This list", "nDCG@10"]
    for row, (role, model) in zip(rows[1:], models.items(), strict=True):
        assert row[0].split()[:2] == [role.capitalize(), "caser"]
        assert re.fullmatch(r"[\d.]+[KM]?", row[1])
        assert float(row[2].removesuffix(" kB")) == pytest.approx(model["bytes"] / 1e3, rel=0.01)
        assert re.fullmatch(r"[\d.]+ ms", row[3])
        assert row[4] == f"{model['metrics']['ndcg@10']:.3f}"
    assert "over the test users" in text_of(page, "#measured")
    assert box(page, "#models")["bottom"] < 400
    assert box(page, "#models")["right"] <= page.execute_script("return document.documentElement.clientWidth")


def test_a_usual_history_and_titles_are_shown_whole(page: Chrome) -> None:
    assert len(history_of(page)) == 8
    while len(history_of(page)) < 12:
        count = len(history_of(page))
        page.execute_script("document.querySelector('#list-teacher .add').click()")
        until(page, lambda count=count: len(history_of(page)) == count + 1 and settled(page))
    page.execute_script(
        "for (const each of document.querySelectorAll('.item, #history li > span'))"
        "each.textContent = 'Silence of the Lambs, The'"
    )
    assert cut(page, "#history, #history li, .item") == []
    page.execute_script("document.querySelector('#list-teacher .add').click()")
    until(page, lambda: len(history_of(page)) == 13 and settled(page))
    assert box(page, "#history li:last-child")["bottom"] <= box(page, "#history")["bottom"]


def focused(browser: Chrome) -> str:
    label: str = browser.execute_script("return document.activeElement.getAttribute('aria-label')")
    return label


@at_one_width
def test_the_keyboards_focus_stays_where_it_was(page: Chrome) -> None:
    page.find_element(By.ID, "clear").click()
    until(page, lambda: history_of(page) == [] and settled(page))
    for place in (3, 0):  # the student's fourth, then its first
        before = items_of(page, "student")
        page.execute_script(
            "const add = document.querySelectorAll('#list-student .add')[arguments[0]]; add.focus(); add.click()", place
        )
        until(page, lambda before=before: items_of(page, "student") != before and settled(page))
        name = page.execute_script(
            "return document.querySelectorAll('#list-student .item')[arguments[0]].textContent", place
        )
        assert focused(page) == f"Add {name} to the history"
    names = [each.text for each in all_of(page, "#history li > span")]
    page.execute_script("const remove = document.querySelector('#history button'); remove.focus(); remove.click()")
    assert focused(page) == f"Remove {names[1]}"
    page.switch_to.active_element.send_keys(Keys.SPACE)
    assert page.switch_to.active_element.get_attribute("id") == "example"


def test_nothing_is_asked_of_anybody_else_and_nothing_is_cut_off(page: Chrome, server: Running) -> None:
    asked = page.execute_script("return performance.getEntriesByType('resource').map((each) => each.name)")
    assert asked
    assert [url for url in asked if not url.startswith((server.url, "data:"))] == []
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")


@at_one_width
def test_all_that_can_be_used_has_a_name(page: Chrome, server: Running) -> None:
    for path, least in (("/", 12), ("/docs", 7)):
        page.get(server.url + path)
        until(page, lambda least=least: len(all_of(page, "button")) >= least)
        page.find_element(By.CSS_SELECTOR, "#search, .op").click()
        for each in all_of(page, "button, input, textarea, a, pre, [role=listbox]"):
            if each.is_displayed():
                assert each.accessible_name, each.get_attribute("outerHTML")


@at_one_width
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/docs"])
def test_texts_stand_out_from_what_is_behind_them(page: Chrome, server: Running, path: str, scheme: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        page.get(server.url + path)
        until(page, lambda: len(all_of(page, "#list-teacher li, .op")) > 5)
        until(page, lambda: path == "/docs" or settled(page))
        assert page.execute_script(CONTRASTS) == []
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


CONTRASTS = """
const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
const light = (color) => numbers(color).slice(0, 3).map((each) => each / 255)
  .map((each) => (each <= .04045 ? each / 12.92 : ((each + .055) / 1.055) ** 2.4))
  .reduce((sum, each, place) => sum + each * [.2126, .7152, .0722][place], 0);
const behind = (place) => {
  const color = getComputedStyle(place).backgroundColor;
  return numbers(color)[3] === 0 ? behind(place.parentElement) : color;
};
const weak = [];
for (const place of document.querySelectorAll("body *")) {
  const own = [...place.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
  if (!(own || place.placeholder) || !place.checkVisibility()) continue;
  const color = getComputedStyle(place, own ? null : "::placeholder").color;
  const [high, low] = [light(color), light(behind(place))].sort((a, b) => b - a);
  if ((high + .05) / (low + .05) < 4.5) weak.push([place.outerHTML.slice(0, 100), color, behind(place)]);
}
return weak;
"""


def test_the_table_tells_of_the_export_that_answers(browser: Chrome, exported: Exported, tmp_path: Path) -> None:
    folder = variant(exported.folder, tmp_path / "served")
    with running(folder) as started:
        browser.get(started.url)
        until(browser, lambda: len(all_of(browser, "#list-student li")) == 10)
        assert "123M" not in text_of(browser, "#models")
        put(variant(exported.folder, tmp_path / "newer", parameters=123_000_000), folder)
        until(browser, lambda: started.get("/health")["student"]["reloads"] == 1)
        browser.find_element(By.ID, "example").click()
        until(browser, lambda: "123M" in text_of(browser, "#models") and settled(browser))
        assert text_of(browser, "#ms-student").endswith(" ms")


def test_the_documentation_answers_an_example(page: Chrome, server: Running) -> None:
    page.get(f"{server.url}/docs")
    until(page, lambda: len(all_of(page, ".op")) == 6)
    page.find_element(By.CSS_SELECTOR, ".op button").click()
    until(page, lambda: text_of(page, ".op pre").startswith("200\n"))
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("most", "offered", "chosen"), [(5, [5], 5), (15, [5, 10, 15], 10)])
def test_lists_are_as_long_as_the_server_takes(
    browser: Chrome, exported: Exported, most: int, offered: list[int], chosen: int
) -> None:
    with running(exported.folder, "--max-k", most, "--max-history", 2) as started:
        browser.get(started.url)
        until(browser, lambda: len(all_of(browser, "#list-student li")) == chosen)
        assert [int(each.get_attribute("value")) for each in all_of(browser, "[name=k]")] == offered
        assert len(history_of(browser)) == 2
        until(browser, lambda: settled(browser))
    assert browser.get_log("browser") == []
