"""The page in a real browser; `RANKDISTILL_SCREENSHOTS` names a folder that gets pictures of it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Exported, Running, running, variant
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


def until(browser: Chrome, true: Any) -> None:
    WebDriverWait(browser, SECONDS).until(lambda _: true())


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
    assert "model file" in text_of(page, "#models")


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


def test_what_is_wrong_is_said_in_the_servers_words(page: Chrome) -> None:
    search = page.find_element(By.ID, "search")
    search.send_keys("no such item")
    until(page, lambda: text_of(page, "#found") == "No such item")
    search.send_keys(Keys.ENTER)
    until(page, lambda: page.find_element(By.ID, "error").is_displayed())
    assert text_of(page, "#error") == "item 'no such item' is not in the catalogue"
    page.find_element(By.ID, "clear").click()
    until(page, lambda: not page.find_element(By.ID, "error").is_displayed())
    page.get_log("browser")  # tells of the 422 too


def test_nothing_is_asked_of_anybody_else_and_nothing_is_cut_off(page: Chrome, server: Running) -> None:
    asked = page.execute_script("return performance.getEntriesByType('resource').map((each) => each.name)")
    assert asked
    assert [url for url in asked if not url.startswith((server.url, "data:"))] == []
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_the_documentation_answers_an_example(page: Chrome, server: Running) -> None:
    page.get(f"{server.url}/docs")
    until(page, lambda: len(all_of(page, ".op")) == 6)
    page.find_element(By.CSS_SELECTOR, ".op button").click()
    until(page, lambda: text_of(page, ".op pre").startswith("200\n"))
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
