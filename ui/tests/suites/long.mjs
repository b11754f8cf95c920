// Content as long as people make it, on a phone: words without an end, deep data, names of 120 characters, on every page.
// Nothing makes the page wider than the window, and what a finger presses is high enough.
import assert from 'node:assert/strict'
import { newPage, overflow } from '../browser.mjs'
import { until } from '../../scripts/server.mjs'

const word = 'Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft'
const name = `${word} ${word.slice(0, 38)}`
const deep = (n) => (n ? { [`level_${n}_of_a_deep_answer`]: deep(n - 1), list: [1, word, null] } : word.repeat(40))
const connection = 'a-connection-with-a-name-that-somebody-typed-without-thinking'

const source = (sink) => `name: ${name}
description: ${word} ${word}
tags: [${word.toLowerCase().slice(0, 40)}]
triggers:
  - id: form
    webhook: {path: long/${word.toLowerCase()}}
  - use: slack.event
steps:
  - filter: trigger.body.${word.toLowerCase()} != "${word}" and trigger.body.name != "x"
  - id: data
    name: ${name}
    set:
      ${word.toLowerCase()}: \${{ trigger.body.${word.toLowerCase()} }} and more \${{ trigger.body.name }}
      all: \${{ trigger.body }}
  - id: ways
    name: ${word} splits
    paths:
      - name: ${word}
        when: trigger.body.${word.toLowerCase()} == "1"
        steps:
          - set: {a: 1}
      - name: Anything else that ${word} may be
        steps:
          - id: rounds
            name: Each ${word}
            for_each: {in: trigger.body.items, as: line, concurrency: 4}
            steps:
              - name: ${word} again
                set: {n: "\${{ line }}"}
  - id: send
    name: Send ${word}
    use: http.request
    with:
      method: POST
      url: ${sink}/none/${word}
      headers: {x-${word.toLowerCase()}: "${word}"}
      json: {text: "\${{ steps.data }} ${word}", channel: "#${word}"}
    retry: {attempts: 1}
on_failure:
  - name: Say that ${word} failed
    set: {failed: "\${{ error.message }}"}
`.replace('  - use: slack.event\n', '')

export async function before(world, { startBellhop }) {
  const bell = await startBellhop({ sink: world.sink })
  world.servers = { full: bell }
  await bell.call('POST', '/api/v1/connections', { name: connection, connector: 'slack', auth: 'webhook', values: { url: `${world.sink.url}/${word}` } })
  await bell.call('POST', `/api/v1/connections/${connection}/test`).catch(() => {})
  await bell.publish('long', source(world.sink.url))
  const body = { name: '<b>Ada</b> \u202egnihtemos\u202c 👩‍🚀', [word.toLowerCase()]: word.repeat(50), items: [1, 2, 3, word], deep: deep(20), many: Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`${word.slice(0, 30)}_${i}`, i])) }
  await bell.call('POST', '/hooks/long/' + word.toLowerCase(), body)
  await fetch(`${bell.url}/hooks/long/${word.toLowerCase()}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: `{"${word}": ` })
  await bell.publish('ask', `name: Ask ${word}\ntriggers: [{webhook: {path: ask}}]\nsteps:\n  - approve: {message: "May ${word} ${word} be done?", timeout: 3d}\n`)
  await bell.call('POST', '/hooks/ask', { a: word })
  const run = await until(async () => (await bell.call('GET', '/api/v1/runs?workflow=long&status=failed')).items[0], { what: 'the failed run' })
  const delivery = (outcome) => until(async () => (await bell.call('GET', `/api/v1/deliveries?outcome=${outcome}`)).items.find((d) => d.path.includes(word.toLowerCase()))?.id, { what: `a delivery that is ${outcome}` })
  world.long = { run: run.id, accepted: await delivery('accepted'), refused: await delivery('refused') }
  await until(async () => (await bell.call('GET', '/api/v1/approvals')).items.length > 0, { what: 'a question' })
}

/** What a finger would press and is lower than 40 px; links inside of text are as high as text is. */
const low = (page) =>
  page.evaluate(() => {
    const seen = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !e.closest('.visually-hidden, [aria-hidden=true]')
    return [...document.querySelectorAll('button, select, input:not([type=checkbox], [type=radio], [type=hidden]), textarea, summary, [role=tab], [role=textbox], nav a, a.button')]
      .filter((e) => seen(e) && !(e.classList.contains('link') && e.closest('p, li, td, dd')))
      .map((e) => {
        // A press beside it may be meant for it, too: what lies over the whole row counts.
        const box = e.getBoundingClientRect()
        const after = getComputedStyle(e, '::after')
        const wide = after.position === 'absolute' && after.content !== 'none' ? parseFloat(after.height) : 0
        return { e, height: Math.max(box.height, wide), width: box.width }
      })
      .filter(({ height, width }) => width > 1 && height > 1 && height < 39.5)
      .map(({ e, height }) => `${e.tagName.toLowerCase()}.${e.className} "${(e.getAttribute('aria-label') ?? e.textContent).trim().slice(0, 30)}" ${Math.round(height)} px`)
  })

export function tests(world) {
  const pages = [
    ['workflows', '/workflows', (p) => p.getByRole('link', { name: word }).first()],
    ['a workflow', '/workflows/long', (p) => p.locator('[data-path]').first()],
    ['its webhook', '/workflows/long?step=triggers.form', (p) => p.getByLabel('Your address')],
    ['a filter', '/workflows/long?step=filter_1', (p) => p.getByLabel('Test', { exact: true }).first()],
    ['prepared data', '/workflows/long?step=steps.data', (p) => p.getByText('Add field')],
    ['paths', '/workflows/long?step=steps.ways', (p) => p.getByText('Take this path if').first()],
    ['a request', '/workflows/long?step=steps.send', (p) => p.getByText('If this fails')],
    ['YAML', '/workflows/long?view=yaml', (p) => p.locator('.cm-content')],
    ['map', '/workflows/long?view=map', (p) => p.locator('[data-map]').first()],
    ['history', '/workflows/long?view=history', (p) => p.getByRole('button', { name: /in lines/ }).first()],
    ['settings of it', '/workflows/long?view=settings', (p) => p.getByText('Keep these in order')],
    ['its trigger', '/workflows/long/triggers/form', (p) => p.locator('main h1, main h2').first()],
    ['new', '/workflows/new', (p) => p.getByText('What should happen first?')],
    ['runs', '/runs', (p) => p.locator('.rows a').first()],
    ['a run', () => `/runs/${world.long.run}`, (p) => p.getByRole('alert')],
    ['a run as a map', () => `/runs/${world.long.run}?view=map`, (p) => p.locator('[data-map]').first()],
    ['what waits', '/waiting', (p) => p.getByRole('button', { name: 'Approve' })],
    ['deliveries', '/deliveries', (p) => p.locator('main li').first()],
    ['a delivery', () => `/deliveries/${world.long.accepted}`, (p) => p.getByText('Answered with').first()],
    ['a refused delivery', () => `/deliveries/${world.long.refused}`, (p) => p.getByText('Answered with').first()],
    ['connections', '/connections', (p) => p.getByRole('link', { name: connection })],
    ['a connection', `/connections/${connection}`, (p) => p.locator('#health')],
    ['apps', '/apps', (p) => p.getByRole('link', { name: /Slack/ }).first()],
    ['an app', '/apps/slack', (p) => p.getByRole('heading', { name: 'Slack', level: 1 })],
    ['templates', '/templates', (p) => p.getByRole('heading', { level: 2 }).first()],
    ['settings', '/settings', (p) => p.getByRole('heading', { level: 2 }).first()],
  ]
  const editor = {
    name: 'the editor in German, at every width',
    run: async () => {
      const page = await newPage(world.browser, world.servers.full.url, { language: 'de' })
      try {
        await page.goto(world.servers.full.url + '/workflows/long?step=triggers.form')
        await page.getByLabel('Ihre Adresse').waitFor()
        await page.getByText('in Gebrauch').waitFor()
        const wrong = []
        for (const width of [1440, 1321, 1320, 1181, 1180, 1040, 901, 900, 390]) {
          await page.setViewportSize({ width, height: 844 })
          await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
          // What a column or the row of views cannot show, and buttons that stand outside of the window.
          const cut = await page.evaluate(() => {
            const seen = (e) => e.checkVisibility({ visibilityProperty: true })
            const narrow = [...document.querySelectorAll('.col, .chips')].filter((e) => seen(e) && e.scrollWidth > e.clientWidth + 1).map((e) => `${e.className} is ${e.scrollWidth - e.clientWidth} px short`)
            const outside = [...document.querySelectorAll('header button, header a')].filter((e) => seen(e) && (e.getBoundingClientRect().right > innerWidth + 0.5 || e.getBoundingClientRect().left < -0.5))
            return [...narrow, ...outside.map((e) => `"${e.textContent.trim()}" is outside of the window`)]
          })
          wrong.push(...cut.map((line) => `${width}: ${line}`))
        }
        assert.deepEqual([...wrong, ...page.faults], [])
      } finally {
        await page.context().close()
      }
    },
  }
  return [editor, ...pages.map(([title, path, there]) => ({
    name: title,
    run: async () => {
      const bell = world.servers.full
      const page = await newPage(world.browser, bell.url, { width: 390, height: 844 })
      const wrong = []
      const look = async (when) => {
        await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
        for (const width of [390, 320]) {
          await page.setViewportSize({ width, height: 844 })
          const more = await overflow(page)
          if (more > 0) wrong.push(`${when}${width}: wider than the window by ${more} px: ${await widest(page)}`)
        }
        await page.setViewportSize({ width: 390, height: 844 })
        for (const line of new Set(await low(page))) wrong.push(`${when}low: ${line}`)
      }
      try {
        await page.goto(bell.url + (typeof path === 'string' ? path : path()))
        await there(page).waitFor()
        await look('')
        // What is folded is opened, too.
        const open = await page.evaluate(() => {
          document.querySelectorAll('details').forEach((d) => (d.open = true))
          const folded = [...document.querySelectorAll('main button[aria-expanded=false]:not([aria-haspopup], [popovertarget])')].slice(0, 12)
          folded.forEach((b) => b.click())
          return folded.length + document.querySelectorAll('details').length
        })
        if (open) await look('opened, ')
        if (process.env.PICTURES) await page.screenshot({ path: new URL(`../../screenshots/long-${title.replaceAll(' ', '-')}.png`, import.meta.url).pathname, fullPage: true })
        wrong.push(...page.faults)
        assert.deepEqual(wrong, [])
      } finally {
        await page.context().close()
      }
    },
  }))]
}

const widest = (page) =>
  page.evaluate(() => {
    const over = [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5)
    const e = over.find((x) => ![...x.children].some((c) => over.includes(c))) ?? over[0]
    return e ? `${e.tagName.toLowerCase()}.${e.className} in ${e.parentElement?.className} "${e.textContent.trim().slice(0, 30)}"` : 'nothing sticks out'
  })
