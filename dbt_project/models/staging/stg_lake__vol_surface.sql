with source as (

    select * from {{ source('lake', 'vol_surface') }}

),

renamed as (

    select
        -- identity
        underlying,
        root,

        -- slice
        expiry_date,
        expires_at,
        year_fraction,
        spot,
        forward,
        discount,

        -- what the smile rests on
        method,
        age_seconds,
        quotes,
        domain_low,
        domain_high,

        -- parameters
        svi_a,
        svi_b,
        svi_rho,
        svi_m,
        svi_sigma,
        svi_scale,
        svi_origin,
        svi_inverse_spacing,
        svi_spline,

        -- shape
        atm_vol,
        skew,
        curvature,
        risk_reversal_25,
        butterfly_25,
        risk_reversal_10,
        butterfly_10,
        forward_vol,

        -- quality
        in_spread_share,
        rms_half_spreads,
        atm_error_bp,
        butterfly_slack,
        butterfly_slack_at,
        calendar_slack,
        calendar_slack_at,
        free_butterfly_slack,
        free_calendar_slack,
        parity_residual,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
