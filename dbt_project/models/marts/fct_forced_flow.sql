with cells as (

    select * from {{ ref('stg_lake__scenario_grid') }}

),

last_snapshots as (

    select * from {{ ref('int_session_last_snapshots__selected') }}

),

final as (

    select
        -- keys
        concat_ws(
            '|',
            cells.underlying,
            cells.session_date,
            cells.model,
            cells.hours_ahead,
            cells.vol_shift_points,
            cells.spot_shift_pct
        ) as forced_flow_id,
        concat_ws('|', cells.underlying, cells.session_date) as session_id,
        cells.underlying,
        cells.session_date,
        cells.event_at,
        cells.known_at,
        cells.model,

        -- cell
        cells.spot,
        cells.hours_ahead,
        cells.vol_shift_points,
        cells.spot_shift_pct,
        cells.spot * (1 + cells.spot_shift_pct / 100) as spot_level,

        -- book in the cell
        cells.delta_exposure_usd,
        cells.gamma_exposure_usd_per_pct,

        -- flow
        cells.forced_flow_usd,
        cells.gamma_flow_usd,
        cells.vanna_flow_usd,
        cells.charm_flow_usd,
        cells.residual_flow_usd,
        cells.expired_flow_usd,
        cells.expired_contracts,
        cells.floored_contracts,
    from cells
    inner join last_snapshots
        on cells.underlying = last_snapshots.underlying
        and cells.session_date = last_snapshots.session_date
        and cells.event_at = last_snapshots.event_at
        and cells.model = last_snapshots.model

)

select * from final
