import { Component, type ReactNode, type RefObject } from "react";

type Props = { first: string | undefined; scroller: RefObject<HTMLElement | null>; children: ReactNode };

/**
 * Leaves what is read where it is when another message takes the place of `first`: earlier ones have
 * come above it. A class, because only these see the page as it was just before.
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
