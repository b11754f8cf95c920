// Two ways to use a page, with the same verbs: a pointer, and a keyboard alone. Both find things by the names that a
// person reads or hears, and count what they do.
import assert from 'node:assert/strict'

/** A field for text with data in it: it becomes an editor as soon as it has the focus. */
const isPill = async (what) => (await what.evaluate((e) => e.tagName)) === 'DIV'
async function retype(page, text) {
  await page.locator('input:focus, textarea:focus, .cm-content:focus').waitFor()
  await page.keyboard.press('ControlOrMeta+a')
  await page.keyboard.type(text)
}

/** Clicks and typing. `clicks` counts the clicks; typing and selects are not clicks. */
export function pointer(page) {
  return {
    name: 'pointer',
    clicks: 0,
    async press(what) {
      this.clicks++
      await what.click()
    },
    async fill(what, text) {
      if (await isPill(what)) await what.click()
      else await what.fill(text)
      if (await isPill(what)) await retype(page, text)
    },
    async select(what, label) {
      await what.selectOption({ label })
    },
    /** Chooses from a list whose search field has the focus. */
    async pick(name) {
      await page.getByRole('combobox').and(page.locator(':focus')).fill(name)
      await this.press(page.getByRole('option', { name }).first())
    },
  }
}

const most = 250 // presses of Tab until something must have been reached

/** Keys alone: Tab goes there, and what has the focus shows it. */
export function keyboard(page) {
  const focused = (element) => element.evaluate((e) => e === document.activeElement)
  async function reach(what) {
    await what.waitFor()
    const element = await what.elementHandle()
    const role = await element.evaluate((e) => e.getAttribute('role'))
    if (role === 'menuitem') {
      for (let i = 0; i < 30 && !(await focused(element)); i++) await page.keyboard.press('ArrowDown')
    } else {
      // Of a row of tabs, the chosen one is where Tab goes; arrows choose another.
      const stop = role === 'tab' ? await element.evaluateHandle((e) => e.parentElement.querySelector('[tabindex="0"]')) : element
      for (let i = 0; i < most && !(await focused(stop)); i++) await page.keyboard.press('Tab')
      for (let i = 0; role === 'tab' && i < 10 && !(await focused(element)); i++) await page.keyboard.press('ArrowRight')
    }
    assert.ok(await focused(element), `the keyboard does not reach ${what}`)
    const seen = await element.evaluate((e) => {
      const style = getComputedStyle(e)
      return e.matches(':focus-visible') && (style.outlineStyle !== 'none' || style.boxShadow !== 'none')
    })
    assert.ok(seen, `${what} does not show that it has the focus`)
    return role
  }
  return {
    name: 'keyboard',
    clicks: 0,
    async press(what) {
      this.clicks++
      if ((await reach(what)) !== 'tab') await page.keyboard.press('Enter')
    },
    async fill(what, text) {
      if (await isPill(what)) {
        const name = await what.getAttribute('aria-label')
        for (let i = 0; i < most && (await page.evaluate(() => document.activeElement?.getAttribute('aria-label'))) !== name; i++) await page.keyboard.press('Tab')
      } else await reach(what)
      await retype(page, text)
    },
    async select(what, label) {
      await reach(what)
      const chosen = () => what.evaluate((e) => e.selectedOptions[0]?.label.trim())
      if ((await chosen()) !== label) await page.keyboard.type(label) // a list goes to the entry that begins like this
      assert.equal(await chosen(), label)
    },
    async pick(name) {
      this.clicks++
      await page.getByRole('combobox').and(page.locator(':focus')).waitFor()
      await page.keyboard.type(name)
      await page.getByRole('option', { name, selected: true }).waitFor()
      await page.keyboard.press('Enter')
    },
  }
}

