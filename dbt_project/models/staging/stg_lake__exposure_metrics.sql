with source as (

    select * from {{ source('lake', 'exposure_metrics') }}

),

renamed as (

    select
        -- identity
        underlying,
        model,
        dte_bucket,

        -- snapshot
        spot,
        is_simulated,
        contracts,

        -- sums
        net_gamma_exposure_usd_per_pct,
        net_vanna_exposure_usd_per_vol_pt,
        net_charm_exposure_usd_per_day,
        net_volga_exposure_usd_per_vol_pt2,
        gross_gamma_exposure_usd_per_pct,

        -- traded volume, and sums over it
        adv_usd,
        adv_status,
        adv_sessions,
        adv_instrument,
        ngi_over_adv,
        vss_over_adv,
        chl_24h_over_adv,
        volg_over_adv,
        hpp_over_adv,
        hpp_vanna_over_adv,
        hpp_charm_over_adv,

        -- levels
        flip_pct,
        flip_status,
        atm_vol_30d,

        -- drift
        first_spot,
        spot_change_pct,
        drift_status,
        drift_snapshots,
        drift_hours,
        spot_drift_pct_per_hour,
        vol_drift_points_per_hour,
        window_at,
        window_spot,
        window_vol,

        -- hedge pressure
        horizon_hours,
        hpp_usd,
        hpp_gamma_usd,
        hpp_vanna_usd,
        hpp_charm_usd,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
