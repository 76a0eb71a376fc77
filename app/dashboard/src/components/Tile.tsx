/** A large figure with its label and a line of detail. */
import type { ReactNode } from 'react';
import { Icon, type IconName } from './Icon';

export function Tile({
  label,
  value,
  unit,
  detail,
  icon,
  tone = '',
  className = '',
  children,
}: {
  label: string;
  value: ReactNode;
  unit?: string;
  detail?: ReactNode;
  icon?: IconName;
  tone?: string;
  className?: string;
  children?: ReactNode;
}) {
  return (
    <div className={`tile ${tone} ${className}`}>
      <div className="tile-label">
        {icon && <Icon name={icon} />}
        {label}
      </div>
      <div className="tile-value">
        {value ?? '–'}
        {unit && <small>{unit}</small>}
      </div>
      <div className="tile-detail">{detail ?? '\u00a0'}</div>
      {children}
    </div>
  );
}
