import { Component, type ReactNode, type RefObject } from "react";

type Props = { first: string | undefined; scroller: RefObject<HTMLElement | null>; children: ReactNode };

/**
 * Keeps the visible messages in place when earlier ones are added above, that is when another message takes the place
 * of `first`. It is a class, because only class components can read the page just before an update.
 */
export class KeepPlace extends Component<Props> {
  override getSnapshotBeforeUpdate({ first }: Props): number | null {
    const box = this.props.scroller.current;
    return box && first !== this.props.first ? box.scrollHeight - box.scrollTop : null;
  }

  override componentDidUpdate(_props: Props, _state: unknown, fromEnd: number | null): void {
    const box = this.props.scroller.current;
    if (box && fromEnd !== null) box.scrollTop = box.scrollHeight - fromEnd;
  }

  override render() {
    return this.props.children;
  }
}
