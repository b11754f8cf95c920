// How fast the pages are. A time says little on a machine that others use, so each stands beside a probe of the same
// minute: a page of one line of text, a key in a plain field. A time is reported; it fails the suite only when it is four
// times its budget and far from its probe, which no neighbor can cause. Counts (rows in the page, shifts, bytes) fail at
// once.
import assert from 'node:assert/strict'
import { newPage } from '../browser.mjs'
import { scene } from '../scene.mjs'

const many = 100_000

export async function before(world, { startBellhop }) {
  world.servers = { full: await startBellhop({ sink: world.sink }), many: await startBellhop({ empty: true, stored: many }) }
}

const sorted = (times) => [...times].sort((a, b) => a - b)
const median = (times) => sorted(times)[Math.floor(times.length / 2)]
const p95 = (times) => sorted(times)[Math.min(times.length - 1, Math.floor(times.length * 0.95))]

function judge(what, took, budget, probe) {
  const said = `${what} ${Math.round(took)} ms (<= ${budget}; probe ${Math.round(probe)} ms)`
  assert.ok(took <= 4 * budget || took <= 8 * probe, said)
  return said
}

/** What happens while a page loads: when it is first painted, when its greatest part is, what moves, when `seen` is there. */
const watch = (seen) => {
  globalThis.watched = { shift: 0, largest: 0, seen: 0, rows: 0 }
  const w = globalThis.watched
  new PerformanceObserver((list) => list.getEntries().forEach((e) => (w.shift += e.hadRecentInput ? 0 : e.value))).observe({ type: 'layout-shift', buffered: true })
  new PerformanceObserver((list) => list.getEntries().forEach((e) => (w.largest = e.startTime))).observe({ type: 'largest-contentful-paint', buffered: true })
  new MutationObserver(() => {
    if (!w.seen && document.querySelector(seen)) w.seen = performance.now()
    w.rows = Math.max(w.rows, document.querySelectorAll('.rows > li').length)
  }).observe(document, { childList: true, subtree: true })
}
const painted = (page) =>
  page.evaluate(
    () =>
      new Promise((done) => {
        const first = performance.getEntriesByName('first-contentful-paint')[0]
        if (first) return done(first.startTime)
        new PerformanceObserver((list) => list.getEntriesByName('first-contentful-paint').forEach((e) => done(e.startTime))).observe({ type: 'paint', buffered: true })
      }),
  )
const frames = (page, n = 2) => page.evaluate(async (n) => { for (let i = 0; i < n; i++) await new Promise((done) => requestAnimationFrame(done)) }, n)

/** Loads a page in a browser that has nothing of it yet, several times, and gives what was seen. */
async function loads(world, server, path, seen, times = 5) {
  const out = []
  for (let i = 0; i < times; i++) {
    const page = await newPage(world.browser, server.url)
    try {
      await page.addInitScript(watch, seen)
      await page.goto(server.url + path)
      await page.locator(seen).first().waitFor()
      const first = await painted(page)
      await frames(page, 4)
      out.push({ first, ...(await page.evaluate(() => globalThis.watched)) })
      assert.deepEqual(page.faults, [])
    } finally {
      await page.context().close()
    }
  }
  return out
}
async function plain(world, times = 5) {
  const out = []
  for (let i = 0; i < times; i++) {
    const page = await newPage(world.browser, world.sink.url)
    await page.goto(world.sink.url + '/plain')
    out.push(await painted(page))
    await page.context().close()
  }
  return median(out)
}

/** Types a text key by key into what has the focus, as fast as a key repeats that is held down: 30 a second, which nobody
 *  types. For each key the time until the next frame was drawn, of which the 95th percentile is told; and the time that the
 *  page's own thread worked for it, in which no neighbor has a part. */
async function keys(page, text) {
  await page.evaluate(() => {
    globalThis.drawn = []
    globalThis.listening ??= addEventListener(
      'keydown',
      () => {
        const at = performance.now()
        requestAnimationFrame(() => {
          const after = new MessageChannel()
          after.port1.onmessage = () => globalThis.drawn.push(performance.now() - at)
          after.port2.postMessage(0)
        })
      },
      { capture: true },
    ) ?? true
  })
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' })
  const worked = async () => (await cdp.send('Performance.getMetrics')).metrics.find((m) => m.name === 'TaskDuration').value * 1000
  const before = await worked()
  for (const key of text) {
    await page.keyboard.press(key)
    await new Promise((next) => setTimeout(next, 33))
  }
  await page.waitForFunction((n) => globalThis.drawn.length >= n, text.length)
  const work = ((await worked()) - before) / text.length
  await cdp.detach()
  return { p95: p95(await page.evaluate(() => globalThis.drawn)), work }
}

export function tests(world) {
  const { bell, workflow, lead, task } = scene(world)
  return [
    {
      name: 'pages: first and largest paint, and nothing moves',
      run: async () => {
        const probe = await plain(world)
        const notes = []
        for (const [path, seen] of [['/workflows', '.list a.name'], ['/runs', '.page h1'], ['/workflows/lead-intake?step=filter_1', '[data-path]'], ['/connections', '.page h1'], ['/settings', '.page h2']]) {
          const got = await loads(world, world.servers.full, path, seen)
          const shift = median(got.map((g) => g.shift))
          assert.ok(shift <= 0.02, `${path}: things move (${shift})`)
          notes.push(`${path} ${judge('first', median(got.map((g) => g.first)), 400, probe)}, ${judge('largest', median(got.map((g) => g.largest)), 800, probe)}, shift ${shift.toFixed(3)}`)
        }
        return notes.join('; ')
      },
    },
    {
      name: `runs: the first page of ${many}, a jump to the last, and never more than 60 rows`,
      run: async () => {
        const probe = await plain(world)
        const server = world.servers.many
        const got = await loads(world, server, '/runs', '.rows a')
        const notes = [judge('first page', median(got.map((g) => g.seen)), 500, probe)]
        const page = await newPage(world.browser, server.url)
        try {
          await page.addInitScript(watch, '.rows a')
          await page.goto(server.url + '/runs')
          const row = (n) => page.locator(`.rows > li[aria-posinset="${n}"] a`)
          await row(1).waitFor()
          await page.locator(`.rows > li[aria-setsize="${many}"]`).first().waitFor()
          await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight))
          await row(many).waitFor()
          await page.evaluate(() => scrollTo(0, 0))
          await row(1).waitFor()
          const cdp = await page.context().newCDPSession(page)
          const heap = async () => {
            await cdp.send('HeapProfiler.collectGarbage')
            return (await cdp.send('Runtime.getHeapUsage')).usedSize
          }
          await page.evaluate(() => scrollBy(0, 20 * innerHeight)) // what is made once is there
          await frames(page, 4)
          const before = await heap()
          await page.evaluate(async () => {
            for (let i = 0; i < 500; i++) {
              scrollBy(0, innerHeight)
              await new Promise((done) => requestAnimationFrame(done))
            }
          })
          await page.locator('.rows a').first().waitFor()
          const grown = ((await heap()) - before) / 1024 / 1024
          assert.ok(grown <= 20, `the heap grew by ${grown.toFixed(1)} MB in 500 pages`)
          const { rows } = await page.evaluate(() => globalThis.watched)
          assert.ok(rows <= 60, `${rows} rows in the page`)
          notes.push(`at most ${rows} rows in the page, heap +${grown.toFixed(1)} MB after 500 pages`)
          await page.evaluate(() => scrollTo(0, 0))
          await row(1).waitFor()
          // From the choice to what it found, which is nothing.
          const filtered = await page.evaluate(async () => {
            const select = document.querySelector('select[aria-label=Status]')
            const at = performance.now()
            select.value = 'failed'
            select.dispatchEvent(new Event('change', { bubbles: true }))
            while (document.querySelector('.rows') || !document.body.textContent.includes('No run is like that')) await new Promise((done) => requestAnimationFrame(done))
            return performance.now() - at
          })
          notes.push(judge('filter', filtered, 300, probe))
          assert.deepEqual(page.faults, [])
        } finally {
          await page.context().close()
        }
        const found = await loads(world, server, '/runs?q=ada', '.rows a, .foot, .empty', 3)
        notes.push(judge('search', median(found.map((g) => g.seen)), 2000, probe))
        return notes.join('; ')
      },
    },
    task('a key is drawn with the next frame: in a filter, and in a text with data', async (page) => {
      await workflow('keys', lead('keys'))
      await page.goto(world.sink.url + '/plain')
      page.faults.length = 0 // the probe is another origin
      await page.locator('input').focus()
      const text = 'the bell rings for whoever calls it, once'
      const probe = await keys(page, text)
      await page.goto(`${page.base}/workflows/keys?step=filter_1`)
      await page.getByRole('textbox', { name: 'Value' }).focus()
      const filter = await keys(page, '1234567890123456789012345678901234567890')
      await page.goto(`${page.base}/workflows/keys?step=steps.tell`)
      await page.getByRole('textbox', { name: 'text', exact: true }).click()
      await page.locator('.cm-content[aria-label=text]:focus').waitFor()
      const pill = await keys(page, text)
      const say = (what, { p95, work }) => {
        const said = `${what} p95 ${Math.round(p95)} ms (<= 50; probe ${Math.round(probe.p95)} ms), work ${work.toFixed(1)} ms a key (<= 50; probe ${probe.work.toFixed(1)} ms)`
        assert.ok(work <= 50, said)
        return said
      }
      return `${say('filter', filter)}; ${say('text', pill)}`
    }),
    task('a caught event shows at once', async (page) => {
      await workflow('caught', lead('caught'))
      await page.goto(`${page.base}/workflows/caught`)
      await page.getByRole('listitem').getByRole('button', { name: /Webhook/ }).click()
      await page.getByRole('textbox', { name: 'Your address' }).waitFor()
      // In the page, so that only the product is timed: from the answer of the call until the status says how many fields.
      const send = (fields) =>
        page.evaluate(async (fields) => {
          const body = JSON.stringify(Object.fromEntries(Array.from({ length: fields }, (_, i) => ['f' + i, i])))
          const answer = await fetch('/hooks/caught', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body })
          await answer.text()
          const at = performance.now()
          const seen = () => [...document.querySelectorAll('[role=status]')].some((e) => e.textContent.includes(`Event received, ${fields} fields`))
          while (!seen()) {
            if (performance.now() - at > 15_000) throw new Error('the event does not show')
            await new Promise((done) => requestAnimationFrame(done))
          }
          return performance.now() - at
        }, fields)
      const trip = await page.evaluate(async () => {
        const at = performance.now()
        await (await fetch('/healthz')).text()
        return performance.now() - at
      })
      await send(3) // the page listens from here on
      const took = []
      for (let n = 4; n < 13; n++) took.push(await send(n))
      return judge('shown', median(took), 300, trip)
    }),
    task('an editor of 100 steps', async (page) => {
      await workflow('hundred', `triggers:\n  - webhook: {path: hundred}\nsteps:\n${Array.from({ length: 100 }, (_, i) => `  - name: Step number ${i + 1}\n    set: {a: ${i}}\n`).join('')}`)
      const got = await loads(world, bell(), '/workflows/hundred', '[data-path]', 3)
      await page.goto(`${page.base}/workflows/hundred?step=steps[3]`)
      await page.getByRole('heading', { name: 'Step number 4', exact: true }).waitFor()
      const swaps = await page.evaluate(async () => {
        const out = []
        for (const n of [20, 5, 60, 9, 33]) {
          const card = [...document.querySelectorAll('[data-path]')].find((e) => e.textContent.includes(`Step number ${n}`))
          const at = performance.now()
          card.click()
          while (![...document.querySelectorAll('.panel h2')].some((h) => h.textContent.trim() === `Step number ${n}`)) await new Promise((done) => requestAnimationFrame(done))
          out.push(performance.now() - at)
        }
        return out
      })
      const probe = await plain(world, 3)
      return `${judge('list', median(got.map((g) => g.seen)), 1000, probe)}; ${judge('another step', median(swaps), 100, probe)}`
    }),
    task('nothing inline is shown or run, and nothing is asked of another origin', async (page) => {
      const answer = await page.goto(page.base + '/workflows/lead-intake?view=yaml')
      await page.locator('.cm-content').waitFor()
      assert.ok(await page.evaluate(() => getComputedStyle(document.querySelector('.cm-line')).fontFamily.includes('JetBrains')), 'the editor has no style')
      const policy = answer.headers()['content-security-policy']
      assert.ok(!policy.includes('unsafe'), policy)
      assert.deepEqual(page.faults, [])
      const tried = await page.evaluate(() => {
        const sheet = document.createElement('style')
        sheet.textContent = 'h1 { color: red }'
        document.head.append(sheet)
        const box = document.createElement('p')
        box.setAttribute('style', 'color: red')
        document.body.append(box)
        let run = 'refused'
        try {
          const script = document.createElement('script')
          script.textContent = 'globalThis.ran = true'
          document.head.append(script)
          if (globalThis.ran) run = 'ran'
        } catch {
          // Trusted Types refuse the text already
        }
        return { sheet: sheet.sheet?.cssRules.length ?? 0, box: getComputedStyle(box).color, run }
      })
      assert.deepEqual({ ...tried, box: tried.box === 'rgb(255, 0, 0)' }, { sheet: 0, box: false, run: 'refused' })
      assert.ok(page.faults.length > 0, 'a broken policy is not noticed')
      page.faults.length = 0
    }),
  ]
}
