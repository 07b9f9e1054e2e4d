with changes as (

    select * from {{ ref('stg_lake__strike_changes') }}

),

final as (

    select
        -- keys
        concat_ws(
            '|',
            changes.underlying,
            strftime(changes.event_at at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ'),
            changes.model,
            changes.strike
        ) as strike_change_id,
        concat_ws('|', changes.underlying, changes.session_date) as session_id,
        changes.underlying,
        changes.session_date,
        changes.event_at,
        changes.known_at,
        changes.model,

        -- what it tells
        changes.strike,
        changes.spot,
        changes.reach_share,
        changes.previous_at,
        changes.first_at,
        changes.position_contracts,
        changes.gamma_exposure_usd_per_pct,
        changes.pin_force_usd_per_pct,
        changes.position_change_contracts,
        changes.book_change_contracts,
        changes.force_change_usd_per_pct,
        changes.force_by_position_usd_per_pct,
        changes.force_by_book_usd_per_pct,
        changes.force_by_price_usd_per_pct,
        changes.gamma_by_position_usd_per_pct,
        changes.position_change_since_first_contracts,
        changes.book_change_since_first_contracts,
        changes.force_change_since_first_usd_per_pct,
        changes.force_by_position_since_first_usd_per_pct,
        changes.position_z,
        changes.force_z,
        changes.threshold_z,
        changes.change_kind,
        changes.is_changed,
        changes.is_alert_candidate,
        changes.alert_text,
    from changes
    -- most strikes of most snapshots change by nothing worth a row
    where changes.change_kind <> 'none'

)

select * from final
