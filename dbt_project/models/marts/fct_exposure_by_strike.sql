with exposures as (

    select * from {{ ref('stg_lake__dealer_exposure') }}

),

last_snapshots as (

    select * from {{ ref('int_session_last_snapshots__selected') }}

),

summed as (

    select
        exposures.underlying,
        exposures.session_date,
        exposures.event_at,
        exposures.model,
        exposures.strike,
        max(exposures.spot) as spot,
        count(*) as contracts,
        sum(exposures.delta_exposure_usd) as net_delta_exposure_usd,
        sum(exposures.gamma_exposure_usd_per_pct) as net_gamma_exposure_usd_per_pct,
        coalesce(
            sum(exposures.gamma_exposure_usd_per_pct) filter (where exposures."right" = 'call'),
            0.0
        ) as call_gamma_exposure_usd_per_pct,
        coalesce(
            sum(exposures.gamma_exposure_usd_per_pct) filter (where exposures."right" = 'put'),
            0.0
        ) as put_gamma_exposure_usd_per_pct,
        sum(abs(exposures.gamma_exposure_usd_per_pct)) as gross_gamma_exposure_usd_per_pct,
        sum(exposures.vanna_exposure_usd_per_vol_pt) as net_vanna_exposure_usd_per_vol_pt,
        sum(exposures.charm_exposure_usd_per_day) as net_charm_exposure_usd_per_day,
        sum(exposures.volga_exposure_usd_per_vol_pt2) as net_volga_exposure_usd_per_vol_pt2,
    from exposures
    inner join last_snapshots
        on exposures.underlying = last_snapshots.underlying
        and exposures.session_date = last_snapshots.session_date
        and exposures.model = last_snapshots.model
        and exposures.event_at = last_snapshots.event_at
    group by all

),

final as (

    select
        concat_ws('|', underlying, session_date, model, strike) as exposure_by_strike_id,
        concat_ws('|', underlying, session_date) as session_id,
        *,
    from summed

)

select * from final
