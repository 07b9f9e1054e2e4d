with metrics as (

    select * from {{ ref('stg_lake__exposure_metrics') }}

),

last_snapshots as (

    select * from {{ ref('int_session_last_snapshots__selected') }}

),

final as (

    select
        -- keys
        concat_ws(
            '|', metrics.underlying, metrics.session_date, metrics.model, metrics.dte_bucket
        ) as exposure_metric_id,
        concat_ws('|', metrics.underlying, metrics.session_date) as session_id,
        metrics.underlying,
        metrics.session_date,
        metrics.event_at,
        metrics.known_at,
        metrics.model,
        metrics.dte_bucket,

        -- snapshot
        metrics.spot,
        metrics.is_simulated,
        metrics.contracts,

        -- sums
        metrics.net_gamma_exposure_usd_per_pct,
        metrics.net_vanna_exposure_usd_per_vol_pt,
        metrics.net_charm_exposure_usd_per_day,
        metrics.net_volga_exposure_usd_per_vol_pt2,
        metrics.gross_gamma_exposure_usd_per_pct,

        -- traded volume, and sums over it
        metrics.adv_usd,
        metrics.adv_status,
        metrics.adv_sessions,
        metrics.adv_instrument,
        metrics.ngi_over_adv,
        metrics.vss_over_adv,
        metrics.chl_24h_over_adv,
        metrics.volg_over_adv,
        metrics.hpp_over_adv,
        metrics.hpp_vanna_over_adv,
        metrics.hpp_charm_over_adv,

        -- levels
        metrics.flip_pct,
        metrics.flip_status,
        metrics.atm_vol_30d,

        -- drift
        metrics.spot_change_pct,
        metrics.drift_status,
        metrics.drift_snapshots,
        metrics.drift_hours,
        metrics.spot_drift_pct_per_hour,
        metrics.vol_drift_points_per_hour,

        -- hedge pressure
        metrics.horizon_hours,
        metrics.hpp_usd,
        metrics.hpp_gamma_usd,
        metrics.hpp_vanna_usd,
        metrics.hpp_charm_usd,
    from metrics
    inner join last_snapshots
        on metrics.underlying = last_snapshots.underlying
        and metrics.session_date = last_snapshots.session_date
        and metrics.model = last_snapshots.model
        and metrics.event_at = last_snapshots.event_at

)

select * from final
