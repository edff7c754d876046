"""Answers about secrets: one question for all who ask at once, kept for a while, and none of a question that failed."""

from __future__ import annotations

import asyncio

import pytest

from gantry.common.clock import ManualClock
from gantry.common.web.remembered import RememberedAnswers


class Asked:
    """Whoever is asked; he answers when he may."""

    def __init__(self, answers: RememberedAnswers[int], *, at_once: bool = True) -> None:
        self._answers = answers
        self.times = 0
        self.at_once = 0
        self.most_at_once = 0
        self.may = asyncio.Event()
        if at_once:
            self.may.set()
        self.fault: Exception | None = None

    async def __call__(self) -> int:
        async with self._answers.turn():
            self.times += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                await self.may.wait()
            finally:
                self.at_once -= 1
            if self.fault is not None:
                raise self.fault
            return self.times


async def test_an_answer_counts_for_a_while_and_for_its_secret_alone() -> None:
    clock = ManualClock()
    answers: RememberedAnswers[int] = RememberedAnswers(clock, 30.0, 5.0)
    question = Asked(answers)
    assert [await answers.answer("a", question) for _ in range(3)] == [1, 1, 1]
    assert await answers.answer("b", question) == 2
    clock.advance(30.0)
    assert await answers.answer("a", question) == 3


async def test_who_goes_away_does_not_end_the_question_for_others() -> None:
    answers: RememberedAnswers[int] = RememberedAnswers(ManualClock(), 30.0, 5.0)
    question = Asked(answers, at_once=False)
    first, second = (asyncio.create_task(answers.answer("a", question)) for _ in range(2))
    while not question.times:
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    question.may.set()
    assert (await second, question.times) == (1, 1)


async def test_what_failed_is_asked_again() -> None:
    answers: RememberedAnswers[int] = RememberedAnswers(ManualClock(), 30.0, 5.0)
    question = Asked(answers)
    question.fault = OSError("away")
    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            await answers.answer("a", question)
    question.fault = None
    assert await answers.answer("a", question) == 3


async def test_few_are_asked_at_once_and_nobody_waits_for_longer_than_the_deadline() -> None:
    answers: RememberedAnswers[int] = RememberedAnswers(ManualClock(), 30.0, 0.1)
    question = Asked(answers, at_once=False)
    waiting = [asyncio.create_task(answers.answer(str(number), question)) for number in range(20)]
    assert {type(result) for result in await asyncio.gather(*waiting, return_exceptions=True)} == {TimeoutError}
    assert question.most_at_once == 8


async def test_a_flood_of_secrets_fills_no_memory() -> None:
    answers: RememberedAnswers[int] = RememberedAnswers(ManualClock(), 30.0, 5.0)
    question = Asked(answers)
    for number in range(5000):
        await answers.answer(str(number), question)
    assert len(answers._known) == 4096
    await answers.answer("4999", question)
    assert question.times == 5000
