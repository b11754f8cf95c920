// Which rows of a long list are in view of the window. Rows have one height, so places are arithmetic.
export class Window {
  first = $state(0)
  last = $state(0)
  private element: HTMLElement | undefined

  constructor(
    private readonly height: () => number,
    private readonly count: () => number,
  ) {}

  /** An attachment for the element that is as high as all rows. */
  attach = (element: HTMLElement) => {
    this.element = element
    const update = () => this.update()
    addEventListener('scroll', update, { passive: true })
    addEventListener('resize', update)
    update()
    return () => {
      removeEventListener('scroll', update)
      removeEventListener('resize', update)
    }
  }

  update() {
    if (!this.element) return
    const top = this.element.getBoundingClientRect().top
    const height = this.height()
    const count = this.count()
    this.first = Math.max(0, Math.min(count, Math.floor(-top / height) - 6))
    this.last = Math.max(0, Math.min(count, Math.ceil((innerHeight - top) / height) + 6))
  }
}
